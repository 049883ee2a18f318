"""What members pay: plans and their prices, checkouts, subscriptions, and the signed links that lead there."""
