"""How a training starts on the machines it has, and ends: devices, ranks, signals, failures."""
