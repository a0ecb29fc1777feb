"""Twenty rows that ctxbench audits, counted again from published hyperparameters with integers alone.

Nothing of ctxbench, of torch or of anybody's networks is imported. ``python reports/audit/by_hand.py`` prints
each row's MACs and parameters, and what else a convention needs: elements of batch norms, of other norms, of
ReLUs and soft-maxes, of products of two maps, of what poolings read and write, of resized maps, outputs
that a bias is added to. Longer than other files: a function for each of the papers' networks.
"""

from collections import Counter


class Net(Counter):
    """Totals of one pass of one image."""

    def conv(self, n_in, n_out, k, at, groups=1, bias=True, batch_norm=False, relu=False):
        """A k×k convolution, or a linear layer (k = 1), at so many positions of its output."""
        weights = k * k * n_in * n_out // groups
        self.update(MACs=weights * at, parameters=weights + bias * n_out, biased=bias * n_out * at)
        self.update(linear_biases=bias * n_out)
        if batch_norm:
            self.update(
                batch_norm=n_out * at, parameters=2 * n_out, norm_parameters=2 * n_out, buffers=2 * n_out + 1
            )
        self.update(ReLU=relu * n_out * at)

    def norm(self, n, at):
        """A layer norm, or a group norm."""
        self.update(norm=n * at, parameters=2 * n)

    def product(self, rows, inner, columns):
        """A matrix product of two maps."""
        self.update(MACs=rows * inner * columns, products=rows * inner * columns)

    def attention(self, n, keys, d, at, n_keys):
        """Soft-max attention of d channels of values, with ``keys`` channels of keys, in n heads."""
        self.product(at, keys, n_keys)
        self.product(at, n_keys, d)
        self.update(soft_max=n * at * n_keys)


def resnet(blocks=(3, 4, 6, 3), groups=1, width=64, gate=None, after_stage=None, caffe=False):
    """ResNet of bottlenecks at 224×224: stem, four stages at 56, 28, 14 and 7, pooling, 1000 classes."""
    net = Net()
    net.conv(3, 64, 7, 112**2, bias=False, batch_norm=True, relu=True)
    net.update(pool_read=64 * 112**2, pool_written=64 * 56**2)
    n = 64
    for stage, depth in enumerate(blocks):
        side, planes = 56 >> stage, 64 << stage
        mid, out = planes * width // 64 * groups, 4 * planes
        for block in range(depth):
            first = (
                side * 2 if block == 0 and stage and not caffe else side
            )  # of the first 1×1: stride in the 3×3
            net.conv(n, mid, 1, first**2, bias=False, batch_norm=True, relu=True)
            net.conv(mid, mid, 3, side**2, groups, bias=False, batch_norm=True, relu=True)
            net.conv(mid, out, 1, side**2, bias=False, batch_norm=True, relu=True)  # its ReLU behind the sum
            if block == 0:
                net.conv(n, out, 1, side**2, bias=False, batch_norm=True)
            if gate:
                gate(net, out, side)
            n = out
        if after_stage and stage < 3:
            after_stage(net, out, side)
    net.update(pool_read=2048 * 49, pool_written=2048)
    net.conv(2048, 1000, 1, 1)
    return net


def bam(net, n, side):
    """BAM behind a stage: channels by two linear layers, positions by 1×1, two 3×3 and 1×1."""
    small, at = n // 16, side**2
    net.conv(n, small, 1, 1, batch_norm=True, relu=True)
    net.conv(small, n, 1, 1)
    net.conv(n, small, 1, at, batch_norm=True, relu=True)
    for _ in range(2):
        net.conv(small, small, 3, at, batch_norm=True, relu=True)
    net.conv(small, 1, 1, at)


def triplet(net, n, side):
    """Three gates, each a 7×7 convolution of two maps with a batch norm, over (H, W), (C, W) and (H, C)."""
    for at in (side**2, n * side, n * side):
        net.conv(2, 1, 7, at, bias=False, batch_norm=True)


def shuffle_attention(net, n, side):
    """64 groups: weight and bias for channels and for positions, and a group norm, each of C/128."""
    net.update(parameters=6 * n // 128)


def resnest(radix, cardinality, width):
    """ResNeSt-50-fast: 3×3 of 32, 32, 64, split attention, average pooling before a strided 3×3 and 1×1."""
    net, n = Net(), 64
    for n_in, n_out in ((3, 32), (32, 32), (32, 64)):
        net.conv(n_in, n_out, 3, 112**2, bias=False, batch_norm=True, relu=True)
    net.update(max_pool_written=64 * 56**2)
    for stage, depth in enumerate((3, 4, 6, 3)):
        side, planes = 56 >> stage, 64 << stage
        mid = planes * width // 64 * cardinality
        small = max(mid * radix // 4, 32)
        for block in range(depth):
            first = side * 2 if block == 0 and stage else side
            net.conv(n, mid, 1, first**2, bias=False, batch_norm=True, relu=True)
            if block == 0 and stage:
                net.update(pool_written=mid * side**2 + n * side**2)
            elif block == 0:  # is_first: none in the first stage; its shortcut pools 1×1
                net.update(pool_written=n * side**2)
            net.conv(
                mid, mid * radix, 3, side**2, cardinality * radix, bias=False, batch_norm=True, relu=True
            )
            net.update(pool_written=mid)
            net.conv(mid, small, 1, 1, cardinality, batch_norm=True, relu=True)
            net.conv(small, mid * radix, 1, 1, cardinality)
            net.update(times=mid * radix * side**2)
            net.conv(mid, 4 * planes, 1, side**2, bias=False, batch_norm=True, relu=True)
            if block == 0:
                net.conv(n, 4 * planes, 1, side**2, bias=False, batch_norm=True)
            n = 4 * planes
    net.update(pool_written=2048)
    net.conv(2048, 1000, 1, 1)
    return net


def vit(d, depth, heads, class_token):
    """ViT of 16×16 patches of 224×224: DeiT, or HVT without pooling, which has no class token."""
    net, n = Net(), 196 + class_token
    net.conv(3, d, 16, 196)
    net.update(parameters=n * d + class_token * d)  # positions
    for _ in range(depth):
        net.norm(d, n)
        net.conv(d, 3 * d, 1, n)
        net.attention(heads, d, d, n, n)
        net.conv(d, d, 1, n)
        net.norm(d, n)
        net.conv(d, 4 * d, 1, n)
        net.conv(4 * d, d, 1, n)
    net.norm(d, n)
    net.conv(d, 1000, 1, 1)
    return net


def swin(d, depths, heads, window, version=1, image=224):
    """Swin, or SwinV2 with its network of 512 for the position bias, whose norms stand behind."""
    net, side = Net(), image // 4
    net.conv(3, d, 4, side**2)
    net.norm(d, side**2)
    for stage, (depth, n_heads) in enumerate(zip(depths, heads, strict=True)):
        if stage:
            side //= 2
            net.norm(2 * d if version == 2 else 4 * d, side**2)
            net.conv(4 * d, 2 * d, 1, side**2, bias=False)
            d *= 2
        w, at = min(window, side), side**2
        for _ in range(depth):
            net.norm(d, at)
            net.conv(d, 3 * d, 1, at, bias=version == 1)
            if version == 1:
                net.update(parameters=(2 * w - 1) ** 2 * n_heads)
            else:  # biases of q and v alone, a scale a head, 2 → 512 → heads
                net.update(parameters=2 * d + n_heads)
                offsets = (2 * w - 1) ** 2
                net.conv(2, 512, 1, offsets)
                net.conv(512, n_heads, 1, offsets, bias=False)
                net.update(position_MACs=512 * (2 + n_heads) * offsets)
            net.attention(n_heads, d, d, at, w * w)
            net.conv(d, d, 1, at)
            net.norm(d, at)
            net.conv(d, 4 * d, 1, at)
            net.conv(4 * d, d, 1, at)
    net.norm(d, side**2)
    net.conv(d, 1000, 1, 1)
    return net


def focalnet(d=128, depths=(2, 2, 18, 2), kernels=(3, 5)):
    """FocalNet: 2d + levels + 1 maps, a depthwise one a level, 1×1 of the modulator and of the output."""
    net, side, n, k = Net(), 56, 3, 4
    for depth in depths:
        at = side**2
        net.conv(n, d, k, at)
        net.norm(d, at)
        for _ in range(depth):
            net.norm(d, at)
            net.conv(d, 2 * d + len(kernels) + 1, 1, at)
            for kernel in kernels:
                net.conv(d, d, kernel, at, groups=d, bias=False)
            net.conv(d, d, 1, at)
            net.conv(d, d, 1, at)
            net.norm(d, at)
            net.conv(d, 4 * d, 1, at)
            net.conv(4 * d, d, 1, at)
        n, d, side, k = d, 2 * d, side // 2, 2
    net.norm(n, 49)
    net.conv(n, 1000, 1, 1)
    return net


def poolformer(dims=(64, 128, 320, 512), depths=(2, 2, 6, 2)):
    """PoolFormer-S12: 3×3 pooling mixes positions; an MLP of 4; two layer scales."""
    net, n, side, k = Net(), 3, 56, 7
    for d, depth in zip(dims, depths, strict=True):
        net.conv(n, d, k, side**2)
        for _ in range(depth):
            net.norm(d, side**2)
            net.update(pool_read=9 * d * side**2, pool_written=d * side**2)
            net.norm(d, side**2)
            net.conv(d, 4 * d, 1, side**2)
            net.conv(4 * d, d, 1, side**2)
            net.update(parameters=2 * d)
        n, side, k = d, side // 2, 3
    net.norm(n, 49)
    net.conv(n, 1000, 1, 1)
    return net


def pvt_v2(dims=(64, 128, 320, 512), depths=(3, 4, 6, 3)):
    """PVTv2-B2: keys and values of a map that a strided one makes 7×7; MLPs with a depthwise 3×3."""
    net, n, side, k = Net(), 3, 56, 7
    for d, depth, heads, ratio, mlp in zip(
        dims, depths, (1, 2, 5, 8), (8, 4, 2, 1), (8, 8, 4, 4), strict=True
    ):
        at = side**2
        net.conv(n, d, k, at)
        net.norm(d, at)
        for _ in range(depth):
            net.norm(d, at)
            net.conv(d, d, 1, at)
            if ratio > 1:
                net.conv(d, d, ratio, 49)
                net.norm(d, 49)
            net.conv(d, 2 * d, 1, 49)
            net.attention(heads, d, d, at, 49)
            net.conv(d, d, 1, at)
            net.norm(d, at)
            net.conv(d, mlp * d, 1, at)
            net.conv(mlp * d, mlp * d, 3, at, groups=mlp * d)
            net.conv(mlp * d, d, 1, at)
        net.norm(d, at)
        n, side, k = d, side // 2, 3
    net.conv(n, 1000, 1, 1)
    return net


def levit(dims=(128, 256, 384), depths=(4, 4, 4), heads=(4, 8, 12), key=16):
    """LeViT: four strided 3×3, stages of 14, 7 and 4, values of twice the keys; a batch norm behind each."""
    net, n, side = Net(), 3, 224
    for d in (dims[0] // 8, dims[0] // 4, dims[0] // 2, dims[0]):
        side //= 2
        net.conv(n, d, 3, side**2, bias=False, batch_norm=True)
        n = d

    def layer(n_in, n_out, at):
        net.conv(n_in, n_out, 1, at, bias=False, batch_norm=True)

    def mlp(d, at):
        layer(d, 2 * d, at)
        layer(2 * d, d, at)

    for stage, (d, depth, n_heads) in enumerate(zip(dims, depths, heads, strict=True)):
        at = side**2
        for _ in range(depth):
            keys, values = key * n_heads, 2 * key * n_heads
            layer(d, 2 * keys + values, at)
            net.attention(n_heads, keys, values, at, at)
            net.update(parameters=n_heads * at)  # position biases
            layer(values, d, at)
            mlp(d, at)
        if stage < 2:
            n_heads = d // key
            keys, values, side = d, 4 * d, -(-side // 2)
            layer(d, keys + values, at)
            layer(d, keys, side**2)
            net.attention(n_heads, keys, values, side**2, at)
            net.update(parameters=n_heads * at)
            layer(values, dims[stage + 1], side**2)
            mlp(dims[stage + 1], side**2)
    for _ in range(2):  # two classifiers, each behind a batch norm
        net.update(batch_norm=d, parameters=2 * d)
        net.conv(d, 1000, 1, 1)
    return net


def van(depths, dims=(64, 128, 320, 512), strides=(4, 2, 2, 2), side=224, classes=1000):
    """VAN: 1×1, GELU, 5×5 and dilated 7×7 by channel, 1×1, times its input, 1×1; MLPs with a 3×3."""
    net, n, k = Net(), 3, 7
    for d, depth, ratio, stride in zip(dims, depths, (8, 8, 4, 4), strides, strict=True):
        side //= stride
        at = side**2
        net.conv(n, d, k, at, batch_norm=True)
        for _ in range(depth):
            net.update(batch_norm=2 * d * at, parameters=6 * d, norm_parameters=4 * d, times=3 * d * at)
            net.conv(d, d, 1, at)
            net.conv(d, d, 5, at, groups=d)
            net.conv(d, d, 7, at, groups=d)
            net.conv(d, d, 1, at)
            net.conv(d, d, 1, at)
            net.conv(d, ratio * d, 1, at)
            net.conv(ratio * d, ratio * d, 3, at, groups=ratio * d)
            net.conv(ratio * d, d, 1, at)
        net.norm(d, at)
        n, k = d, 3
    if classes:
        net.conv(n, classes, 1, 1)
    return net


def ham_net(depths, dims=(64, 128, 320, 512)):
    """HamNet on VAN of output stride 8 at 512×512: 3×3, NMF of 64 bases in 7 steps, 3×3, joined, 3×3."""
    net, at, d, r = van(depths, dims, (4, 2, 1, 1), 512, classes=0), 64**2, 512, 64
    n = dims[-1]
    net.conv(n, d, 3, at, bias=False)
    net.norm(d, at)
    net.conv(d, d, 1, at)
    net.product(at, d, r)
    for step in range(8):  # the eighth is of the coefficients alone
        net.product(at, d, r)
        net.product(r, d, r)
        net.product(at, r, r)
        net.update(times=at * r)
        if step < 7:
            net.product(d, at, r)
            net.product(r, at, r)
            net.product(d, r, r)
            net.update(times=d * r)
    net.product(d, r, at)
    net.conv(d, d, 1, at, bias=False)
    net.norm(d, at)
    net.conv(d, d, 3, at, bias=False)
    net.norm(d, at)
    net.conv(n + d, d, 3, at, bias=False)
    net.norm(d, at)
    net.conv(d, 150, 1, at)
    net.update(resized=150 * 512**2)
    aux = Net()  # not run where one evaluates
    aux.conv(dims[2], 256, 3, 0, bias=False)
    aux.norm(256, 0)
    aux.conv(256, 150, 1, 0)
    net.update(parameters=aux["parameters"])
    return net


def nat_upernet(d=128, depths=(3, 4, 18, 5), heads=(4, 8, 16, 32), mlp=2, height=512, width=512, scale=True):
    """UPerNet on NAT: 7×7 neighbours; pooling to 1, 2, 3, 6, maps of 512 by 1×1 and 3×3, 150 classes."""
    net, at, maps = Net(), height * width // 16, []
    net.conv(3, d // 2, 3, 4 * at)
    net.conv(d // 2, d, 3, at)
    net.norm(d, at)
    for stage, (depth, n_heads) in enumerate(zip(depths, heads, strict=True)):
        for _ in range(depth):
            net.norm(d, at)
            net.conv(d, 3 * d, 1, at)
            net.update(parameters=n_heads * 13**2 + 2 * d * scale)
            net.attention(n_heads, d, d, at, 49)
            net.conv(d, d, 1, at)
            net.norm(d, at)
            net.conv(d, mlp * d, 1, at)
            net.conv(mlp * d, d, 1, at)
        net.norm(d, at)
        maps.append((d, at))
        if stage < 3:
            at //= 4
            net.conv(d, 2 * d, 3, at, bias=False)
            d *= 2
            net.norm(d, at)

    def conv(n, k, at):
        net.conv(n, 512, k, at, bias=False, batch_norm=True, relu=True)

    for pooled in (1, 4, 9, 36):
        conv(d, 1, pooled)
        net.update(pool_written=d * pooled, resized=512 * at)
    conv(d + 2048, 3, at)
    for n, at in maps[:3]:
        conv(n, 1, at)
        conv(512, 3, at)
        net.update(resized=512 * at)
    net.update(resized=512 * sum(maps[0][1] for _ in range(3)))
    conv(2048, 3, maps[0][1])
    net.conv(512, 150, 1, maps[0][1])
    net.update(resized=150 * height * width)
    aux = Net()
    aux.conv(maps[2][0], 256, 3, 0, bias=False, batch_norm=True)
    aux.conv(256, 150, 1, 0)
    net.update(parameters=aux["parameters"])
    return net


def p2t_fpn(dims=(64, 128, 320, 640), depths=(3, 8, 27, 3), height=512, width=512, head=1000):
    """Semantic FPN on P2T: keys of four pooled maps; maps of 256 by 1×1, 3×3; 3×3 to 128, summed."""
    net, n, k, maps, (h, w) = Net(), 3, 7, [], (height // 4, width // 4)
    ratios = ((12, 16, 20, 24), (6, 8, 10, 12), (3, 4, 5, 6), (1, 2, 3, 4))
    for d, depth, pools, heads, mlp in zip(dims, depths, ratios, (1, 2, 5, 8), (8, 8, 4, 4), strict=True):
        at = h * w
        net.conv(n, d, k, at)
        net.norm(d, at)
        for _ in pools:
            net.update(parameters=9 * d + d)
        keys = [round(h / p) * round(w / p) for p in pools]
        for _ in range(depth):
            net.norm(d, at)
            net.conv(d, d, 1, at)
            for m in keys:
                net.update(MACs=9 * d * m, biased=d * m, pool_written=d * m)
            net.norm(d, sum(keys))
            net.conv(d, 2 * d, 1, sum(keys))
            net.attention(heads, d, d, at, sum(keys))
            net.conv(d, d, 1, at)
            net.norm(d, at)
            net.conv(d, mlp * d, 1, at)
            net.conv(mlp * d, mlp * d, 3, at, groups=mlp * d)
            net.conv(mlp * d, d, 1, at)
        maps.append((d, at))
        n, k, h, w = d, 3, h // 2, w // 2
    if head:
        net.update(parameters=(n + 1) * head)
    for d, at in maps:
        net.conv(d, 256, 1, at)
        net.conv(256, 256, 3, at)
    for level, (_, at) in enumerate(maps):
        for step in range(max(level, 1)):
            net.conv(256 if step == 0 else 128, 128, 3, at * 4**step, bias=False, batch_norm=True, relu=True)
            if level:
                net.update(resized=128 * at * 4 ** (step + 1))
    net.conv(128, 150, 1, maps[0][1])
    net.update(resized=150 * height * width)
    return net


def rcca():
    """One pass at 97×97 of 512 channels: keys of 64; a row's and a column's positions, its own twice."""
    net, at = Net(), 97**2
    for n in (64, 64, 512):
        net.conv(512, n, 1, at)
    net.attention(1, 64, 512, at, 97 + 97)
    return net


def rows():
    """The twenty rows' networks, in the order of README's table, with LeViT-256 and NAT at 512×512."""
    swin_b = (2, 2, 18, 2)
    return {
        "CCNet: RCCA, one pass": rcca(),
        "DeiT-Tiny": vit(192, 12, 3, True),
        "FocalNet-B [3,5]": focalnet(),
        "HamNet VAN-Large-OS8": ham_net((3, 5, 27, 3)),
        "HVT-S-0": vit(384, 12, 6, False),
        "LeViT-128": levit(),
        "LeViT-256": levit((256, 384, 512), (4, 4, 4), (4, 6, 8), 32),
        "NAT-Base, UPerNet, 512×512": nat_upernet(),
        "NAT-Base, UPerNet, 512×2048": nat_upernet(width=2048),
        "P2T-Large, Semantic FPN": p2t_fpn(),
        "PoolFormer-S12": poolformer(),
        "PVTv2-B2": pvt_v2(),
        "ResNeSt 2s1x64d": resnest(2, 1, 64),
        "ResNeSt 1s4x24d": resnest(1, 4, 24),
        "ResNet-50 in Caffe": resnet(caffe=True),
        "SA-Net, sa_resnet50": resnet(gate=shuffle_attention),
        "BAM-ResNet50": resnet(after_stage=bam),
        "ResNeXt-101": resnet((3, 4, 23, 3), 32, 4),
        "Swin-L": swin(192, swin_b, (6, 12, 24, 48), 7),
        "SwinV2-B, 16×16": swin(128, swin_b, (4, 8, 16, 32), 16, 2, 256),
        "Triplet attention, ResNet-50, k = 7": resnet(gate=triplet),
        "VAN-B1": van((2, 2, 4, 2)),
    }


if __name__ == "__main__":
    for name, net in rows().items():
        print(f"{name}: {', '.join(f'{count:,} {what}' for what, count in net.items() if count)}")
