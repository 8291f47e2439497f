"""Networks: what objectives train and model directories hold."""
