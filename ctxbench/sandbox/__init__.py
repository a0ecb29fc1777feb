"""Where a stranger's module runs so that it can harm nobody: among fake tensors, in a process of its own."""
