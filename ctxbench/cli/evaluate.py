"""The verbs that evaluate a trained network and look into it."""
