"""Operations that cost nothing: they move, make or compare data, or only look at it in another shape."""

MOVES = frozenset(
    """
    clone copy _to_copy contiguous cat stack _chunk_cat block_diag _foreach_copy resize_as
    alias_copy as_strided_copy detach_copy diagonal_copy expand_copy narrow_copy permute_copy _reshape_copy
    select_copy slice_copy split_copy split_with_sizes_copy squeeze_copy t_copy transpose_copy unbind_copy
    unfold_copy unsqueeze_copy view_copy view_as_real_copy view_as_complex_copy
    slice_backward select_backward unfold_backward diagonal_backward as_strided_scatter slice_scatter
    select_scatter diagonal_scatter slice_inverse
    constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d
    replication_pad3d roll flip rot90 repeat repeat_interleave tril triu diag_embed trace_backward
    im2col pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle max_unpool2d max_unpool3d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d
    _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d

    index index_select gather take take_along_dim embedding masked_select index_copy index_fill
    masked_fill masked_scatter masked_scatter_backward where _unsafe_index _unsafe_masked_index
    masked_fill_backward nll_loss_backward nll_loss2d_backward

    empty empty_like empty_strided empty_permuted new_empty new_empty_strided zeros zeros_like new_zeros ones
    ones_like new_ones full full_like new_full fill zero eye arange range linspace logspace scalar_tensor
    tril_indices triu_indices one_hot complex_copy _efficientzerotensor
    rand rand_like randn randn_like randint randint_like randperm bernoulli uniform normal cauchy exponential
    geometric log_normal random multinomial poisson

    eq ne lt le gt ge logical_and logical_or logical_not logical_xor isnan isinf isfinite isneginf isposinf
    isin equal allclose is_same_size bitwise_and bitwise_or bitwise_not bitwise_xor
    sort topk kthvalue median nanmedian mode msort argsort searchsorted bucketize nonzero nonzero_static
    _unique _unique2 unique_dim unique_consecutive unique_dim_consecutive
    _local_scalar_dense is_nonzero _assert_async _assert_scalar _assert_tensor_metadata _linalg_check_errors
    _functional_assert_async sym_constrain_range sym_constrain_range_for_size

    _to_sparse _to_sparse_csr _to_sparse_csc _to_sparse_bsr _to_sparse_bsc _to_dense sparse_mask
    _coalesce _sparse_coo_tensor_with_dims_and_tensors _sparse_coo_tensor_unsafe
    _sparse_compressed_tensor_unsafe sparse_resize sparse_resize_and_clear copy_sparse_to_sparse
    _nested_tensor_from_tensor_list _nested_tensor_from_mask to_padded_tensor _nested_from_padded
    _jagged_to_padded_dense_forward _padded_dense_to_jagged_forward
    lu_unpack _pack_padded_sequence _pack_padded_sequence_backward
    """.split()  # noqa: SIM905
)
"""Data movement, creation, random numbers, sorting and comparison: no floating-point operation."""

VIEWS = frozenset(
    """
    _unsafe_view detach alias lift_fresh lift _reshape_alias resize set unsafe_split unsafe_split_with_sizes
    transpose squeeze unsqueeze t swapaxes as_strided _nested_view_from_buffer _nested_view_from_jagged
    _nested_get_values _nested_tensor_size _nested_tensor_strides _nested_tensor_storage_offsets
    _indices _values indices values _coalesced sym_size sym_stride sym_numel sym_storage_offset
    """.split()  # noqa: SIM905
)
"""Free operations that the schema does not mark as views."""

NO_OPERATIONS = ("profiler::", "prims::", "c10d::")
"""Namespaces that hold no arithmetic: marks for a profiler, communication."""
