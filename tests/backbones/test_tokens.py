"""Missing tokens: checks T1 to T4 of the spec, on tiny random ViTs and on a trained one."""

from typing import get_args

import pytest
import timm
import torch
from PIL import Image
from torch import nn

from benchmarks._models import caltech_vit
from lit_coiba.backbones import Backbone
from lit_coiba.backbones.token_support import PIXEL_BASELINES
from lit_coiba.backbones.tokens import TokenDropping, groups_of
from lit_coiba.core.errors import InputError
from lit_coiba.core.frozen import frozen
from lit_coiba.data.transforms import Transform
from lit_coiba.heads import BRNPAHead, EPICHead, InfoDisentHead, LinearHead
from lit_coiba.heads.head import Head
from lit_coiba.perturbation.baselines import Baseline
from lit_coiba.training.classifier import Classifier
from tests._testers import tiny
from tests._testers.model_state import assert_near, assert_same_state, disturb, state

SIZES = {"patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4}
VIT = "vit_tiny_patch16_224"


def build(name: str = VIT, **arguments) -> Backbone:
    return tiny._tiny(name, 32, **{**SIZES, **arguments})


MODELS = {
    "cls": build,
    "average": lambda: build(global_pool="avg"),
    "average with prefix": lambda: build(global_pool="avg", pool_include_prefix=True),
    "maximum": lambda: build(global_pool="max"),
    "average and maximum": lambda: build(global_pool="avgmax"),
    "map": lambda: build(global_pool="map", class_token=False),
    "map, plain attention": lambda: unfused(build(global_pool="map", class_token=False)),
    "registers": tiny.vit_with_registers,
    "registers, average": lambda: build(reg_tokens=2, global_pool="avg"),
    "distilled": lambda: build("deit_tiny_distilled_patch16_224"),
    "rotary": lambda: build("vit_small_patch16_dinov3"),
    "rotary, any size": lambda: build("vit_small_patch16_dinov3", dynamic_img_size=True),
    "rotary, by block": lambda: build("vit_small_patch16_rope_mixed_224"),
    "EVA-02": lambda: build("eva02_tiny_patch14_224"),
    "any size": lambda: build(dynamic_img_size=True),
}
POOLS_PATCHES = {
    *("average", "maximum", "average and maximum", "map", "map, plain attention", "registers, average"),
    *("rotary", "rotary, any size", "EVA-02"),
}


def unfused(model: Backbone) -> Backbone:
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return model


def draw(rows: int, places: int = 16, seed: int = 0) -> torch.Tensor:
    """Which patches are kept; never none."""
    kept = torch.rand(rows, places, generator=torch.Generator().manual_seed(seed)) < 0.5
    kept[:, 3] = True
    return kept


@pytest.fixture(params=list(MODELS))
def name(request):
    return request.param


@torch.no_grad()
def test_t1_leaving_out_equals_masking_the_keys(name):
    model, images, kept = MODELS[name](), tiny.images(6, (32, 32)), draw(6)
    dropping = TokenDropping.of(model)
    tokens = dropping.embed(images)
    gathered, masked = dropping.run(tokens, kept), dropping.run(tokens, kept, masked=True)
    assert_near(gathered, masked, 1e-5)
    assert torch.equal(TokenDropping.of(model).run(tokens, kept), gathered)  # tokens are all that is handed on
    clean = model(images)
    assert (gathered - clean).abs().amax(1).min() > 1e-2 * clean.std()  # each row has lost something
    assert_near(dropping(images, torch.ones_like(kept)), clean, 1e-6)  # keeping all = the plain forward
    for row in range(6):  # and rows do not see one another
        assert_near(gathered[row], dropping(images[row : row + 1], kept[row : row + 1])[0], 1e-5)


@torch.no_grad()
def test_rows_of_different_counts_may_run_together(name, monkeypatch):
    """As on a GPU: padded up to the largest count of their group, and masked."""
    model, images, kept = MODELS[name](), tiny.images(6, (32, 32)), draw(6)
    dropping = TokenDropping.of(model)
    tokens, whole = dropping.embed(images), torch.ones(1, 16, dtype=torch.bool)
    for rows in (kept, torch.cat([whole, kept[1:]])):
        expected = dropping.run(tokens, rows)
        with monkeypatch.context() as patch:
            patch.setattr("lit_coiba.backbones.tokens.groups_of", lambda counts, least: groups_of(counts, 4))
            assert_near(dropping.run(tokens, rows), expected, 1e-5)


@torch.no_grad()
def test_the_logits_are_those_of_a_forward_of_the_kept_tokens_written_by_hand():
    """Independent of the code: patches cut out of the list of tokens, block by block in fp64."""
    model, images, kept = build().double(), tiny.images(2, (32, 32)).double(), draw(2)
    vit, found = model.model, TokenDropping.of(model)(images, kept)
    for image, mask, logits in zip(images, kept, found):
        stream = vit.patch_embed(image[None])[0]
        tokens = [vit.cls_token[0, 0] + vit.pos_embed[0, 0]]
        tokens += [stream[place] + vit.pos_embed[0, 1 + place] for place in range(16) if mask[place]]
        assert_near(vit.head(vit.norm(vit.blocks(torch.stack(tokens)[None])))[0, 0], logits, 1e-12)


@torch.no_grad()
def test_t2_the_order_of_kept_tokens_does_not_matter_and_their_places_do():
    model, images, kept = build(), tiny.images(1, (32, 32)), draw(1)
    dropping = TokenDropping.of(model)
    tokens = dropping.embed(images)
    expected, order = dropping.run(tokens, kept), torch.randperm(16, generator=torch.Generator().manual_seed(3))
    shuffled = torch.cat([tokens[:, :1], tokens[:, 1:][:, order]], 1)
    assert_near(dropping.run(shuffled, kept[:, order]), expected, 1e-5)
    model.model.pos_embed[:, 1:] = model.model.pos_embed[:, 1:].roll(1, 1)
    moved = dropping(images, kept)
    assert (moved - expected).abs().max() > 0.05 * expected.std()


@torch.no_grad()
def test_t2_rotary_positions_go_with_their_tokens():
    model, images = MODELS["rotary"](), tiny.images(1, (32, 32))
    dropping, kept = TokenDropping.of(model), torch.zeros(1, 16, dtype=torch.bool)
    tokens = dropping.embed(images)
    tokens[:, dropping.num_prefix :] = tokens[:, dropping.num_prefix :][:, :1]  # the same patch in each place
    kept[0, [0, 1]] = True
    near = dropping.run(tokens, kept)
    far = torch.zeros_like(kept)
    far[0, [0, 15]] = True
    assert (dropping.run(tokens, far) - near).abs().max() > 1e-3 * near.std()


@pytest.mark.parametrize(
    "model",
    [
        *("resnet10t", "swin_tiny_patch4_window7_224", "xcit_nano_12_p16_224", "maxvit_rmlp_pico_rw_256"),
        *(
            "pvt_v2_b0",
            "vit_relpos_small_patch16_224",
            "mixer_s32_224",
            "vit_tiny_r_s16_p8_224",
            "beit_base_patch16_224",
        ),
    ],
)
def test_t3_other_models_are_refused_and_the_usable_baselines_named(model):
    arguments = {"depth": 1} if model.startswith(("beit", "vit", "xcit")) else {}
    with pytest.raises(
        InputError, match=r"baseline is tokens, and .* cannot leave out patches, since .*: choose"
    ) as said:
        TokenDropping.of(timm.create_model(model, **arguments))
    assert all(kind in str(said.value) for kind in get_args(Baseline))
    assert "\n" not in str(said.value)
    assert len(str(said.value)) < 300


def test_every_baseline_of_pixels_is_named():
    assert set(PIXEL_BASELINES.replace(" or ", ", ").split(", ")) == set(get_args(Baseline))


class OwnPositions(timm.models.vision_transformer.VisionTransformer):
    def _pos_embed(self, x):
        return super()._pos_embed(x).flip(1)


class OwnHead(Head):
    def __init__(self, in_channels, num_classes):
        super().__init__(in_channels, num_classes)
        self.weight = nn.Parameter(torch.zeros(num_classes, in_channels))

    @property
    def units(self):
        return self.in_channels

    def forward(self, features):
        return features[:, :, 0, 0] @ self.weight.T

    activations = _contributions = _terms = _bias = None


def with_hook(model: Backbone) -> Backbone:
    model.model.register_forward_hook(lambda module, inputs, output: output + 1)
    return model


def with_own_head() -> Backbone:
    model = build()
    model.attach(OwnHead(32, 10))
    return model


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (lambda: OwnPositions(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2), "only ViTs of timm"),
        (with_own_head, r"head OwnHead .* \(set orderless = True\)"),
        (lambda: with_hook(build()), "hooks watch its whole forward"),
        (lambda: build(image_size=(33, 32), dynamic_img_size=True, dynamic_img_pad=True), "do not divide images"),
        (lambda: lambda images: images.mean((2, 3)), "only ViTs of timm"),
    ],
)
def test_what_is_not_known_is_refused(model, why):
    with pytest.raises(InputError, match=why):
        TokenDropping.of(model())


@torch.no_grad()
def test_t3_no_patch_left_has_a_score_only_where_other_tokens_are_read(name):
    model, images, kept = MODELS[name](), tiny.images(3, (32, 32)), draw(3)
    kept[1] = False
    dropping = TokenDropping.of(model)
    assert dropping.pools_patches == (name in POOLS_PATCHES)
    found = dropping(images, kept)
    assert found.isnan().all(1).tolist() == [False, name in POOLS_PATCHES, False]
    others = dropping(images[[0, 2]], kept[[0, 2]])
    assert_near(found[[0, 2]], others, 1e-5)
    if name not in POOLS_PATCHES:  # the empty image is the same, whatever the image was
        assert_near(dropping(images[:1], kept[1:2]), found[1:2], 1e-5)
    assert dropping(images[:1], kept[1:2]).isnan().all() == (name in POOLS_PATCHES)


@torch.no_grad()
def test_t4_fewer_patches_are_fewer_tokens():
    model, images = build(), tiny.images(4, (32, 32))
    seen: list[int] = []
    model.model.blocks[0].register_forward_hook(lambda _, __, output: seen.append(output.shape[0] * output.shape[1]))
    dropping = TokenDropping.of(model)
    tokens = dropping.embed(images)
    for share in (16, 4):
        dropping.run(tokens, (torch.arange(16) < share).expand(4, -1))
    assert seen == [4 * 17, 4 * 5]
    seen.clear()
    dropping.run(tokens, torch.stack([torch.arange(16) < count for count in (4, 8, 4, 16)]))
    assert seen == [17, 9, 2 * 5]  # rows that keep as many run together


@pytest.mark.parametrize("head", [LinearHead, EPICHead, BRNPAHead, InfoDisentHead])
@torch.no_grad()
def test_heads_of_ours_read_the_kept_places(head):
    model, images, kept = build(), tiny.images(3, (32, 32)), draw(3)
    model.attach(head(32, 10))
    model.eval()
    tiny.randomise(model.head, 5)
    dropping = TokenDropping.of(model)
    assert dropping.pools_patches
    assert_near(dropping(images, torch.ones_like(kept)), model(images), 1e-6)
    found = dropping(images, kept)
    for row in range(3):
        count = int(kept[row].sum())
        stream = dropping.embed(images[row : row + 1])[:, torch.cat([kept.new_ones(1), kept[row]])]
        features = model.model.norm(model.model.blocks(stream))[:, 1:].transpose(1, 2).unflatten(2, (count, 1))
        assert_near(found[row], model.head(features)[0], 1e-5)
    kept[1] = False
    assert dropping(images, kept).isnan().all(1).tolist() == [False, True, False]
    with pytest.raises(InputError, match="take no mask"):
        dropping.run(dropping.embed(images), kept, masked=True)


@torch.no_grad()
def test_a_classifier_a_wrapped_model_and_timms_own_are_the_same():
    model, images, kept = build(), tiny.images(2, (32, 32)), draw(2)
    expected = TokenDropping.of(model)(images, kept)
    wrapped = Backbone.wrap(model.model, image_size=32)
    for same in (model.model, wrapped, Classifier(model), nn.DataParallel(model.model)):
        assert torch.equal(TokenDropping.of(same)(images, kept), expected)


@torch.no_grad()
def test_grids_that_are_not_square():
    model = tiny.vit(image_size=(32, 48), depth=2)
    dropping, images, kept = TokenDropping.of(model), tiny.images(2, (32, 48)), draw(2, 24)
    assert dropping.grid == (4, 6)
    tokens = dropping.embed(images)
    assert_near(dropping.run(tokens, kept), dropping.run(tokens, kept, masked=True), 1e-5)


def test_the_model_is_as_it_was():
    model, images, kept = build(drop_rate=0.5, proj_drop_rate=0.5), tiny.images(2, (32, 32)), draw(2)
    with torch.no_grad():
        expected = TokenDropping.of(model)(images, kept)
    disturb(model)
    before = state(model)
    with frozen(model), torch.no_grad():
        assert_near(TokenDropping.of(model)(images, kept), expected, 1e-5)
    with torch.no_grad():  # also in training mode
        assert_near(TokenDropping.of(model)(images, kept), expected, 1e-5)
    assert_same_state(state(model), before)


@torch.no_grad()
def test_autocast_and_double_precision():
    model, images, kept = build(), tiny.images(3, (32, 32)), draw(3)
    dropping = TokenDropping.of(model)
    expected = dropping(images, kept)
    with torch.autocast("cpu", torch.bfloat16):
        tokens = dropping.embed(images)
        low, masked = dropping.run(tokens, kept), dropping.run(tokens, kept, masked=True)
    assert low.dtype == torch.bfloat16
    assert_near(low.float(), expected, 0.1)
    assert_near(masked.float(), expected, 0.1)
    assert_near(dropping.run(dropping.embed(images), kept), expected, 0)
    model.double()
    assert_near(TokenDropping.of(model)(images.double(), kept), expected.double(), 1e-5)


def test_wrong_tensors_are_refused():
    dropping = TokenDropping.of(build())
    with pytest.raises(InputError, match="images have 40 x 32 pixels"):
        dropping.embed(torch.zeros(1, 3, 40, 32))
    tokens = dropping.embed(torch.zeros(2, 3, 32, 32))
    for kept in (torch.ones(2, 16), torch.ones(1, 16, dtype=torch.bool), torch.ones(2, 17, dtype=torch.bool)):
        with pytest.raises(InputError, match=r"give bool \(2, 16\), one for each of the 4 x 4 patches"):
            dropping.run(tokens, kept)


@torch.no_grad()
def test_a_trained_vit(assets):
    """The ViT-S of the assets: gather = key mask, and half of the patches are enough."""
    model = caltech_vit(assets).eval()
    files = sorted((assets / "caltech101" / "val").rglob("*.jpg"))[::300][:3]
    images = torch.stack([Transform(model.preprocessing)(Image.open(file)) for file in files])
    dropping, kept = TokenDropping.of(model), draw(len(images), 144)
    assert (dropping.grid, dropping.num_prefix, dropping.pools_patches) == ((12, 12), 1, False)
    tokens = dropping.embed(images)
    found = dropping.run(tokens, kept)
    assert_near(found, dropping.run(tokens, kept, masked=True), 1e-5)
    assert torch.equal(found.argmax(1), model(images).argmax(1))
