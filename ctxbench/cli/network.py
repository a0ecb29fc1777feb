"""``ctxbench profile --model``: whole networks, counted beside the paper's Table 9."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ctxbench.cli import values
from ctxbench.errors import UserError

if TYPE_CHECKING:
    from ctxbench.networks.cost import NetworkCosts

ALLOWED = ("model", "backbone", "context", "size", "option", "json", "csv", "md", "tex")
"""The options of ``profile`` that mean something for whole networks."""


def count_networks(
    model: str, backbone: str | None, context: str | None, size: str | None, option: list[str] | None
) -> NetworkCosts:
    """Count what the command line asks for; what it leaves open is Table 9's. UserError for nonsense."""
    from ctxbench.networks.cost import network_costs
    from ctxbench.paper.increments import TABLE9_BACKBONE, TABLE9_SIDES

    models = values.split([model])
    if not models:
        raise UserError("--model takes names, such as reconet or reconet,pspnet")
    return network_costs(
        models,
        sizes=[values.size(text) for text in values.split([size or str(TABLE9_SIDES[0])])],
        backbone=backbone or TABLE9_BACKBONE,
        context=context,
        context_options=values.options(option),
    )


def drawings(costs: NetworkCosts) -> dict[str, Callable[[], str]]:
    """Return how each kind of file is drawn."""
    from ctxbench.table.latex import grid_latex
    from ctxbench.table.markdown import grid_markdown

    grid = costs.grid()
    return {
        "json": lambda: costs.to_frame().to_json(orient="records", indent=1) + "\n",
        "csv": lambda: costs.to_frame().to_csv(index=False),
        "md": lambda: grid_markdown(grid),
        "tex": lambda: grid_latex(grid, grid.title, "tab:networks"),
    }
