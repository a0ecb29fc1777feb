"""From a stranger's block to a call of it: constructor arguments and inputs found by trial, on fake tensors.

Names suggest what an argument may be (:mod:`.roles`); what is tried comes in an order (:mod:`.candidates` for
the constructor, :mod:`.layouts` for the inputs); :mod:`.trial` tries it once, :mod:`.attempts` keeps what was
tried, :mod:`.search` decides, and :mod:`.advice` says what to do where nothing could be decided.
"""
