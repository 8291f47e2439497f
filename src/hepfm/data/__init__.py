"""The store of collider data, its features, loader, readers and writers."""
