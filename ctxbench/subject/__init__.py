"""What the user named, resolved: a spec, a class, bound arguments, and the case it is measured in."""
