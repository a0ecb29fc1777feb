"""Networks of which papers print numbers and that no package has, in a few lines each: subjects of an audit.

The layers are those that the authors' code calls, since counters that hook leaf modules see those alone. They
are there to be counted: nothing here was trained, and the weights are torch's own.
"""
