"""Images with stable ids, in blocks for explaining and in batches for training."""

from typing import TYPE_CHECKING

from lit_coiba.core.lazy import lazily

if TYPE_CHECKING:  # for type checkers and editors; what runs is found by `lazily`
    from lit_coiba.data.additive_parts import AdditiveParts as AdditiveParts
    from lit_coiba.data.blocks import BlockDataset as BlockDataset
    from lit_coiba.data.blocks import BlockSampler as BlockSampler
    from lit_coiba.data.blocks import count_blocks as count_blocks
    from lit_coiba.data.dataset import ImageDataset as ImageDataset
    from lit_coiba.data.grids import Grids as Grids
    from lit_coiba.data.image_folder import ImageFolder as ImageFolder
    from lit_coiba.data.keypoints import Keypoints as Keypoints
    from lit_coiba.data.module import BlockDataModule as BlockDataModule
    from lit_coiba.data.released.click_me import ClickMe as ClickMe
    from lit_coiba.data.released.cub200 import CUB200 as CUB200
    from lit_coiba.data.released.funny_birds import FunnyBirds as FunnyBirds
    from lit_coiba.data.released.imagenet import ImageNet as ImageNet
    from lit_coiba.data.released.oxford_pets import OxfordPets as OxfordPets
    from lit_coiba.data.released.stanford_cars import StanfordCars as StanfordCars
    from lit_coiba.data.released.stanford_dogs import StanfordDogs as StanfordDogs
    from lit_coiba.data.subset import Subset as Subset
    from lit_coiba.data.subset import limited as limited
    from lit_coiba.data.synthetic_parts import SyntheticParts as SyntheticParts
    from lit_coiba.data.synthetic_patterns import SyntheticPatterns as SyntheticPatterns
    from lit_coiba.data.transforms import Transform as Transform
    from lit_coiba.data.two_cues import TwoCues as TwoCues

__getattr__, __dir__ = lazily(
    __name__,
    {
        "BlockDataset": "lit_coiba.data.blocks",
        "BlockSampler": "lit_coiba.data.blocks",
        "count_blocks": "lit_coiba.data.blocks",
        "ImageDataset": "lit_coiba.data.dataset",
        "Keypoints": "lit_coiba.data.keypoints",
        "BlockDataModule": "lit_coiba.data.module",
        "Subset": "lit_coiba.data.subset",
        "limited": "lit_coiba.data.subset",
        "Transform": "lit_coiba.data.transforms",
    },
    folders=("lit_coiba.data",),
    base="lit_coiba.data.module.BlockDataModule",
)
