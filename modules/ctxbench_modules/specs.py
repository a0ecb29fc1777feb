"""What is known of each context module without building it.

Imports nothing, for which a named tuple or a dataclass would have to, so that listing stays fast.
"""


class Spec:
    """A context module as a catalogue entry.

    ``target`` is ``package.module:Class``; ``complexity`` is the order claimed by the paper for one forward
    pass (C channels, n = H·W positions, r ranks, d latent nodes, k bases, S sampled positions). ``forms`` are
    the forms there are, the quickest first: a module without a quicker exact one has its single form.
    ``cite`` is the paper's key in ``papers.bib``; empty for a module that is not built in.
    """

    def __init__(
        self,
        name: str,
        title: str,
        target: str,
        paper: str,
        year: int,
        url: str,
        complexity: str,
        forms: tuple[str, ...] = ("fast", "published"),
        cite: str = "",
    ) -> None:
        self.name, self.title, self.target = name, title, target
        self.paper, self.year, self.url = paper, year, url
        self.complexity, self.forms, self.cite = complexity, forms, cite


SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec(
            name="reconet",
            title="TGM+TRM",
            target="ctxbench_modules.reconet:TGMTRM",
            paper="Chen et al., Tensor Low-Rank Reconstruction for Semantic Segmentation, ECCV",
            year=2020,
            url="https://arxiv.org/abs/2008.00490",
            complexity="O(rCHW)",
            cite="chen2020tensor",
        ),
        Spec(
            name="nonlocal",
            title="Non-Local",
            target="ctxbench_modules.non_local:NonLocal",
            paper="Wang et al., Non-local Neural Networks, CVPR",
            year=2018,
            url="https://arxiv.org/abs/1711.07971",
            complexity="O(CH²W²)",
            cite="wang2018nonlocal",
        ),
        Spec(
            name="apcnet",
            title="APCNet ACM ×4",
            target="ctxbench_modules.apcnet:ACMPyramid",
            paper="He et al., Adaptive Pyramid Context Network for Semantic Segmentation, CVPR",
            year=2019,
            url="https://openaccess.thecvf.com/content_CVPR_2019/html/He_Adaptive_Pyramid_Context_Network_for_Semantic_Segmentation_CVPR_2019_paper.html",
            complexity="O(C²HW)",
            cite="he2019apcnet",
        ),
        Spec(
            name="rcca",
            title="RCCA",
            target="ctxbench_modules.ccnet:RCCA",
            paper="Huang et al., CCNet: Criss-Cross Attention for Semantic Segmentation, ICCV",
            year=2019,
            url="https://arxiv.org/abs/1811.11721",
            complexity="O(CHW(H+W))",
            cite="huang2019ccnet",
        ),
        Spec(
            name="a2net",
            title="A²Net",
            target="ctxbench_modules.a2net:DoubleAttention",
            paper="Chen et al., A²-Nets: Double Attention Networks, NeurIPS",
            year=2018,
            url="https://arxiv.org/abs/1810.11579",
            complexity="O(C²HW)",
            cite="chen2018a2nets",
        ),
        Spec(
            name="afnb",
            title="AFNB",
            target="ctxbench_modules.ann:AFNB",
            paper="Zhu et al., Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV",
            year=2019,
            url="https://arxiv.org/abs/1908.07678",
            complexity="O(CHWS)",
            cite="zhu2019asymmetric",
        ),
        Spec(
            name="apnb",
            title="APNB",
            target="ctxbench_modules.ann:APNB",
            paper="Zhu et al., Asymmetric Non-local Neural Networks for Semantic Segmentation, ICCV",
            year=2019,
            url="https://arxiv.org/abs/1908.07678",
            complexity="O(CHWS)",
            cite="zhu2019asymmetric",
        ),
        Spec(
            name="latentgnn",
            title="LatentGNN",
            target="ctxbench_modules.latentgnn:LatentGNN",
            paper="Zhang et al., LatentGNN: Learning Efficient Non-local Relations for Visual Recognition, "
            "ICML",
            year=2019,
            url="https://arxiv.org/abs/1905.11634",
            complexity="O(CHWd)",
            cite="zhang2019latentgnn",
        ),
        Spec(
            name="emau",
            title="EMAUnit",
            target="ctxbench_modules.emanet:EMAU",
            paper="Li et al., Expectation-Maximization Attention Networks for Semantic Segmentation, ICCV",
            year=2019,
            url="https://arxiv.org/abs/1907.13426",
            complexity="O(CHWk)",
            cite="li2019emanet",
        ),
        Spec(
            name="pam",
            title="PAM",
            target="ctxbench_modules.danet:PAM",
            paper="Fu et al., Dual Attention Network for Scene Segmentation, CVPR",
            year=2019,
            url="https://arxiv.org/abs/1809.02983",
            complexity="O(CH²W²)",
            cite="fu2019danet",
        ),
        Spec(
            name="cam",
            title="CAM",
            target="ctxbench_modules.danet:CAM",
            paper="Fu et al., Dual Attention Network for Scene Segmentation, CVPR",
            year=2019,
            url="https://arxiv.org/abs/1809.02983",
            complexity="O(C²HW)",
            cite="fu2019danet",
        ),
        Spec(
            name="psa",
            title="PSA",
            target="ctxbench_modules.psanet:PSA",
            paper="Zhao et al., PSANet: Point-wise Spatial Attention Network for Scene Parsing, ECCV",
            year=2018,
            url="https://ecva.net/papers/eccv_2018/papers_ECCV/html/Hengshuang_Zhao_PSANet_Point-wise_Spatial_ECCV_2018_paper.php",
            complexity="O(CH²W²)",
            cite="zhao2018psanet",
            forms=("single",),
        ),
        Spec(
            name="ppm",
            title="PPM",
            target="ctxbench_modules.pspnet:PPM",
            paper="Zhao et al., Pyramid Scene Parsing Network, CVPR",
            year=2017,
            url="https://arxiv.org/abs/1612.01105",
            complexity="O(CHW)",
            cite="zhao2017pspnet",
            forms=("single",),
        ),
        Spec(
            name="aspp",
            title="ASPP",
            target="ctxbench_modules.deeplab:ASPP",
            paper="Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv",
            year=2017,
            url="https://arxiv.org/abs/1706.05587",
            complexity="O(C²HW)",
            cite="chen2017rethinking",
            forms=("single",),
        ),
        Spec(
            name="se",
            title="SE",
            target="ctxbench_modules.senet:SE",
            paper="Hu et al., Squeeze-and-Excitation Networks, CVPR",
            year=2018,
            url="https://arxiv.org/abs/1709.01507",
            complexity="O(CHW)",
            cite="hu2018senet",
            forms=("single",),
        ),
        Spec(
            name="cbam",
            title="CBAM",
            target="ctxbench_modules.cbam:CBAM",
            paper="Woo et al., CBAM: Convolutional Block Attention Module, ECCV",
            year=2018,
            url="https://arxiv.org/abs/1807.06521",
            complexity="O(CHW)",
            cite="woo2018cbam",
            forms=("single",),
        ),
    )
}
