"""The heads of other networks, on a backbone of output stride 8: a file for each, but for the simple ones.

Each is as its paper, or where the paper leaves it open its authors' code, has it. The context blocks come
from the registry of modules, in their fast forms.

A head is ``Head(in_channels, classes, *, channels, size, …)``: ``in_channels`` are those of C2 to C5,
``classes`` is K, ``channels`` the width of the head, 512 as published, and ``size`` the (h, w) of C5 at the
training crop, for a block whose weights depend on it. Further keywords are options of its own. Its forward
takes the list [C2, C3, C4, C5] and returns logits (N, K, h, w) at the stride of C5 (DeepLabV3+'s: of C2).
Raises UserError where a block cannot be built.

In training mode a head whose network has further losses returns a pair, the logits and a mapping: what each
name in the ``losses`` of its entry (:mod:`ctxbench.networks.registry`) is of; under ``auxiliary``, the logits
at the stride of C5 that stand in the place of an auxiliary head's. In eval mode it returns the logits alone.
Where these losses depend on an option, ``self.losses`` has the names of those there are.

``RELEASED`` has the names of its modules in released weights (:mod:`ctxbench.networks.names`).

N images, K classes, C the width of the head; C5 is (N, 2048, h, w) on a ResNet-50 or deeper.
"""
