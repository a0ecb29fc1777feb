"""The measuring stage: cases in, records out.

Of the process that the user typed into, which imports no torch: a run of cases (``session``), its folder and
records, each worker's other end (``process``, ``patience``), statistics. Of the processes that run the
modules: ``worker`` and ``runtimes``.
"""
