"""What we keep about a person: a whole copy for them on demand, and nothing of it once they want it gone."""
