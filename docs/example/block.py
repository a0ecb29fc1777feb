"""A block as somebody may have it: of tokens, with names of its own. The README measures it as it is."""

from torch import Tensor, nn
from torch.nn import functional


class PooledAttention(nn.Module):
    """Every position attends to a pooled map of ``pool``×``pool`` positions.

    Args:
        dim: channels C.
        num_heads: heads of the attention, which divide C.
        pool: side of the map of keys and values.

    """

    def __init__(self, dim: int, num_heads: int = 8, pool: int = 7) -> None:
        super().__init__()
        self.num_heads, self.pool = num_heads, pool
        self.query, self.key_value = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.project = nn.Linear(dim, dim)

    def forward(self, x: Tensor, H: int, W: int) -> Tensor:
        """(N, H·W, C) to (N, H·W, C)."""
        n, positions, c = x.shape
        heads = self.num_heads
        q = self.query(x).view(n, positions, heads, -1).transpose(1, 2)  # (N, heads, H·W, C/heads)
        pooled = functional.adaptive_avg_pool2d(x.mT.reshape(n, c, H, W), self.pool)  # (N, C, pool, pool)
        kv = self.key_value(pooled.flatten(2).mT).view(n, -1, 2, heads, c // heads)  # (N, pool², 2, heads, …)
        k, v = kv.permute(2, 0, 3, 1, 4)  # each (N, heads, pool², C/heads)
        y = functional.scaled_dot_product_attention(q, k, v)  # (N, heads, H·W, C/heads)
        out: Tensor = self.project(y.transpose(1, 2).reshape(n, positions, c))  # (N, H·W, C)
        return out
