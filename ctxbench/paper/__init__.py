"""The RecoNet paper (ECCV 2020): what it prints, and its tables and figures regenerated. Nothing knows of it.

It plugs in from the shelf (:mod:`ctxbench.shelf`): ``OFFERS`` says where each thing it offers stands.
"""

OFFERS = {
    "presets": "ctxbench.paper.offers.presets:PRESETS",
    "record_extra": "ctxbench.paper.offers.columns:record_extra",
    "record_sheets": "ctxbench.paper.offers.columns:record_sheets",
    "class_extra": "ctxbench.paper.offers.evaluations:class_extra",
    "evaluation_sheets": "ctxbench.paper.offers.evaluations:evaluation_sheets",
    "network_extra": "ctxbench.paper.offers.network_costs:network_extra",
    "training_presets": "ctxbench.paper.offers.training_presets:PRESETS",
}
