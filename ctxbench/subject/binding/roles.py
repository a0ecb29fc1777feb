"""What a name among a block's arguments means: channels of its map, a side, nothing that counts, or unknown.

Drawn from the constructors and forward methods of some four thousand published blocks. Imports no torch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

Role = Literal[
    "in", "out", "alone", "sides", "height", "width", "positions", "axes", "neutral", "offline", ""
]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


IN = _words(
    """
    in_channels inplanes in_chs in_features in_planes in_dim c1 in_channel inp dim_in input_dim in_ch
    in_c chan_in in_chans inchannels in_size input_channels num_input_channels channels_in channel_in
    inc ch_in in_filters input_size_channels input_channel in_feats n_in inplane in_channels_list fea_in
    input_planes input_features in_nc nin in_dims
    """
)
"""The channels of the map that goes in, whatever stands beside them."""
QUALIFIED_IN = re.compile(r"[a-z]+\d*_in_channels")
OUT = _words(
    """
    out_channels out_chs out_features dim_out out_planes out_dim c2 oup outplanes out_channel out_ch
    out_c channels_out output_channels output_dim outchannels chan_out ouc outc ch_out out_filters
    num_output_channels out_feats n_out outplane output_channel out_nc nout out_dims
    """
)
"""The channels of the map that comes out. A word before one (``conv_out_channels``): an inner width."""
ALONE = _words(
    """
    channels channel num_channels n_channels nchannels gate_channels gate_channel planes chan ch c
    n_feats n_feat num_feat dim d_model embed_dims embed_dim num_features features feature_dim
    hidden_size n_embd hidden_dim model_dim emb_dim dims chn nc channel_dim num_filters filters
    width_channels fc_dim
    """
)
"""The channels of the map where nothing says what goes in, else an inner width. The first one wins."""
SIDES = _words(
    """
    input_resolution resolution feat_size input_size fmap_size q_size kv_size img_size image_size
    feature_size map_size feature_map_size spatial_size featuremap_size input_hw feat_shape
    spatial_shape feature_shape fmap grid_size img_shape upscale_out_size out_size output_size
    """
)
"""Both sides of the map, as a pair or, where they are equal, as a number."""
PAIRS = (
    ("h", "w"),
    ("H", "W"),
    ("height", "width"),
    ("feat_h", "feat_w"),
    ("fmap_h", "fmap_w"),
    ("h_s", "w_s"),
)
"""Height and width of the map, as pairs: ``h`` alone is a number of heads, ``width`` one of channels."""
POSITIONS = _words(
    """
    seq_len num_patches num_tokens num_positions n_positions n_tokens sequence_length hw max_seqlen
    max_seq_len max_len seqlen max_length seq_length sequence_len
    """
)
AXES = _words(
    """
    spatial_dims ndim n_dims num_spatial_dims dimension
    """
)
OFFLINE = re.compile(r"pretrained|pretrained_\w+|weights|\w+_weights|init_cfg|checkpoint_path|ckpt\w*")
"""What would have a constructor fetch weights."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "bias": (False,),
    "qkv_bias": (False,),
    "align_corners": (False,),
    "inplace": (False,),
    "momentum": (0.1,),
    "bn_momentum": (0.1,),
    "bn_mom": (0.1,),
    "eps": (1e-5,),
    "norm_cfg": ("={'type': 'BN'}", "={'type': 'BatchNorm2d'}"),
    "act_cfg": ("={'type': 'ReLU'}",),
    "conv_cfg": (None,),
    "norm_layer": ("=nn.BatchNorm2d", "=nn.LayerNorm"),
    "act_layer": ("=nn.ReLU",),
    "activation_layer": ("=nn.ReLU",),
    "norm": ("=nn.BatchNorm2d", "=nn.LayerNorm"),
    "activation": ("=nn.ReLU", "relu"),
    "act": ("=nn.ReLU",),
    "layer_scale": (1e-6,),
    "layer_scale_init_value": (1e-6,),
    "init_values": (1e-6,),
}
"""Values that change no count of MACs where a constructor wants one."""
DROPS = re.compile(
    r"(?:\w*_)?drop(?:out|path)?(?:_?(?:path|out|rate|prob|p|ratio))?(?:_\w+)?|\w*dropout\w*|proj_drop"
)

SUGGESTIONS: Sequence[tuple[re.Pattern[str], tuple[Any, ...]]] = tuple(
    (re.compile(pattern), values)
    for pattern, values in (
        (r"(?:\w*_)?(?:num_|n_|no_)?heads?|h|nhead|groups?|num_groups|\w*_groups", (8, 4, 2, 1)),
        (r"kernels|kernel_sizes|conv_kernels|dw_sizes|scales_list", ((3, 5, 7, 9), (3, 5), [3, 5])),
        (r"(?:\w*_)?kernel\w*|k|ks|k_size|\w*ker", (3, 7)),
        (r"size", (3, 7, "=(H, W)")),
        (r"depths?|(?:num_|n_)?(?:layers|levels?|blocks|stages?|iters?|convs)|repeats?", (2, 1)),
        (r"n|num_positions", ("=H*W", 2, 1)),
        (r"shift_sizes?", (0, [0, 0], (0, 0))),
        (r"(?:\w*_)?(?:window|win|block|patch|halo|ws)(?:s|_?sizes?|_?len)?",
         (8, (8, 8), [8, 8], "=(H, W)", 4, 1)),
        (r"(?:atrous_|dilation_)?(?:rates?|dilations)", ((6, 12, 18), [6, 12, 18], (1, 2))),
        (r"(?:pool_?|bin_?)?(?:scales|sizes|bins)", ((1, 2, 3, 6), [1, 2, 3, 6])),
        (r"(?:mlp|expan\w*|ffn)\w*|expand_ratio", (4, 4.0, 2)),
        (r"(?:rd_|squeeze_|se_)ratio", (0.0625, 0.25, 4)),
        (r"(?:\w*_)?reduc\w*|r|ratio|sr_ratio|\w*_ratio", (4, 2, 16, 1, 0.25)),
        (r"num_classes|n_classes|classes|nclass|num_class|n_class|class_num", (19,)),
        (r"strides?|dilation|dia_val|padding|pad|d", (1, 0)),
        (r"alpha|beta|gamma|lamb\w*|temperature|scale\w*", (1.0, 1)),
        (r"(?:\w*_)?(?:dim_heads?|head_dims?|dim_head|d_head)", (64, 32, 16)),
        (r"d_k|d_v|dk|dv|dq|qk_dim|key_dim|value_dim|dim_k|dim_v|nh|Nh", ("=C//8", "=C//4", "=C", 8, 40)),
        (r"(?:use|with|is|has|return)_\w*|shift\w*|share\w*|downsample|residual|shortcut", (False, True)),
        (r"(?:\w*_)?(?:dims?|channels?|chs?|planes|features?|width|size|units|c_?[mn]?)|(?:mid|inter|hidden)\w*",
         ("=C//4", "=C", "=C//2", 64)),
        (r"drop_?path|index|idx|i|layer_id(?:x)?|block_id", (0,)),
        (r"mode|type|kind", ("bilinear", "conv", "max")),
    )
)  # fmt: skip
"""What may be tried where nobody can know a value, to be shown as an example; never taken silently."""
ANY_VALUES = (8, 2, 1, "=C//4", "=C", (8, 8), False, 0.0)

MISFITS = re.compile(
    r"(?:\w*_)?(?:window|win|block|patch|halo|heads?|groups?|scales?|size|resolution|stride|reduction|ratio|kernel|dilation|padding|order)"
    r"\w*|shift\w*|h|n|num_parts|n_groups|dia_val"
)
"""Arguments whose default may not fit a map: varied one at a time where a block fails."""
LAST_RESORTS = (8, 4, 2, 1, 16, (8, 8), 0, 7, "=C", "=C//4", "=(H, W)")

MAP_AGAIN = re.compile(
    r"y|x_?\d+|x_[a-z]+|q|k|v|query|key|value|queries|keys|values|low_\w+|high_\w+|proxy\w*|skip\w*|memory|mem|"
    r"low|high|guide|guidance|context|kv|src|tgt|other|residual|identity|feats?_?\d?|fea_?\d?|input_?\d|rgb|depth|"
    r"left|right|f\d|x[a-z]|value_feats?|key_feats?|query_feats?|encoder_\w*|cross\w*|source|z|img2|y\d|t|b|a|hidden\w*"
)
"""Further inputs of a forward method that are maps like the first."""
SAME_AS_FIRST = _words(
    """
    q k v query key value queries keys values kv query_feats key_feats value_feats memory
    """
)
"""Those that self-attention gives its one input for."""
PAIR = _words(
    """
    hw_shape hw size shape resolution feat_size input_size output_size x_size spatial_size feat_shape
    input_resolution spatial_shape hw_size x_shape spatial_shapes in_size
    """
)
NOTHING = re.compile(
    r"\w*mask\w*|attn_bias|\w*_pos(?:_\w+)?|pos|\w*pos_emb\w*|rel_pos\w*|attn_mask|rope|return_\w*"
)
LISTS = _words(
    """
    inputs feats features feature_maps xs x_list feat_list fpn_feats input_list maps
    """
)


def own_parameters(function: Any) -> set[str]:
    """Names of the parameters that a callable itself has."""
    return set(inspect.signature(function).parameters)


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    """The named parameters of a callable; of a class also those that its bases take through ``**kwargs``.

    Raises ValueError or TypeError where it has no signature.
    """
    found = dict(inspect.signature(function).parameters)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in found.values())
    bases = inspect.getmro(function)[1:] if inspect.isclass(function) else ()
    for base in bases:
        if not open_ended or base.__module__.startswith("torch.nn.modules.module"):
            break
        own = vars(base).get("__init__")
        if own is None:
            continue
        more = dict(list(inspect.signature(own).parameters.items())[1:])
        found |= {name: p for name, p in more.items() if name not in found}
        open_ended = any(p.kind is p.VAR_KEYWORD for p in more.values())
    named = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    return {name: parameter for name, parameter in found.items() if parameter.kind in named}


def is_required(parameter: inspect.Parameter) -> bool:
    """Whether it has no default."""
    return parameter.default is parameter.empty


def is_input(name: str) -> bool:
    """Whether a name says: the channels of what goes in."""
    return name in IN or QUALIFIED_IN.fullmatch(name) is not None


def role_of(name: str, parameter: inspect.Parameter, among: Iterable[str]) -> Role:
    """What a parameter of a constructor means beside the others there."""
    others = set(among)
    has_input = any(map(is_input, others))
    if is_input(name):
        return "in"
    if name in OUT:
        return "out"
    if OFFLINE.fullmatch(name):
        return "offline"
    if name in ALONE:
        if name == "dim" and type(parameter.default) is int and -4 <= parameter.default <= 3:
            return ""  # an axis
        if has_input:
            return "out" if name == "planes" and others & {"inplanes", "in_planes", "inplane"} else ""
        first = next(word for word in ALONE if word in others)
        return "alone" if first == name else ""
    if any(name in pair for pair in PAIRS):
        return _side(name, others)
    if name in SIDES:
        return "sides"
    if name in POSITIONS:
        return "positions"
    if name in AXES:
        return "axes"
    return "neutral" if name in NEUTRAL or DROPS.fullmatch(name) else ""


def _side(name: str, others: set[str]) -> Role:
    """Height or width, where the other is there; beside ``H`` and ``W``, ``h`` and ``w`` are not known."""
    for pair in PAIRS:
        if name in pair and others.issuperset(pair):
            if name in ("h", "w") and others.issuperset(("H", "W")):
                return ""
            return "height" if name == pair[0] else "width"
    return ""


def neutral(name: str) -> tuple[Any, ...]:
    """Values for a parameter that changes no count."""
    return NEUTRAL.get(name, (0.0,))


def suggestions(name: str) -> tuple[Any, ...]:
    """Values to try, as an example, for a parameter that nobody can know; the likeliest first."""
    found = next((values for pattern, values in SUGGESTIONS if pattern.fullmatch(name)), ())
    return tuple(dict.fromkeys([*map(_hashable, found), *map(_hashable, ANY_VALUES)]))


def _hashable(value: Any) -> Any:
    return f"={value!r}" if isinstance(value, list) else value
