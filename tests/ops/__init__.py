"""What keeps the product running and its operators in the picture."""
