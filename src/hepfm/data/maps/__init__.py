"""Maps: what the columns of a user's own files mean."""
