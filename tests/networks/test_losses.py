"""The loss of which classes an image has, against a recording of its authors' and by hand."""

import numpy as np
import pytest
import torch
from recorded_heads import FIXTURES

from ctxbench.data.dataset import IGNORE
from ctxbench.networks.losses import cross_entropy, presence, presence_loss

FIXTURE = FIXTURES / "encnet_losses.npz"


def test_presence_counts_a_single_pixel_and_no_ignored_one() -> None:
    labels = torch.full((3, 4, 5), IGNORE)
    labels[0, 1, 2], labels[1], labels[1, 3, 4] = 3, 0, 2
    assert presence(labels, 4).tolist() == [[0, 0, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_the_loss_is_that_of_the_authors() -> None:
    if not FIXTURE.exists():
        pytest.skip(f"no {FIXTURE}")
    recorded = np.load(FIXTURE)
    logits, se, aux = (torch.from_numpy(recorded[key]).requires_grad_() for key in ("logits", "se", "aux"))
    target = torch.from_numpy(recorded["target"])
    labels = torch.where(target < 0, IGNORE, target)
    torch.testing.assert_close(
        presence(labels, logits.shape[1]), torch.from_numpy(recorded["presence"]), check_dtype=False
    )
    parts = cross_entropy(logits, labels), presence_loss(se, labels), cross_entropy(aux, labels)
    for part, key in zip(parts, ("loss_main", "loss_se", "loss_aux"), strict=True):
        torch.testing.assert_close(part, torch.from_numpy(recorded[key]), rtol=1e-10, atol=0)
    (parts[0] + 0.2 * parts[1] + 0.2 * parts[2]).backward()
    for given, key in ((logits, "g_logits"), (se, "g_se"), (aux, "g_aux")):
        torch.testing.assert_close(given.grad, torch.from_numpy(recorded[key]), rtol=1e-9, atol=1e-12)
