"""The members' API: endpoints written down once, from which routes, checks and the description are made."""
