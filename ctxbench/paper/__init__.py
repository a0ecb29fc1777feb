"""The RecoNet paper (ECCV 2020): what it prints, and its tables and figures regenerated. Nothing knows of it.

It plugs in from the shelf (:mod:`ctxbench.shelf`): ``OFFERS`` says where each thing it offers stands.
"""

OFFERS = {
    "presets": "ctxbench.paper.presets:PRESETS",
    "record_extra": "ctxbench.paper.columns:record_extra",
    "record_sheets": "ctxbench.paper.columns:record_sheets",
}
