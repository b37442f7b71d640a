"""Images with stable ids, in blocks for explaining and in batches for training."""

from lit_coiba.data.blocks import BlockDataset, BlockSampler, count_blocks
from lit_coiba.data.dataset import ImageDataset
from lit_coiba.data.image_folder import ImageFolder
from lit_coiba.data.keypoints import Keypoints
from lit_coiba.data.module import BlockDataModule
from lit_coiba.data.released.cub200 import CUB200
from lit_coiba.data.released.imagenet import ImageNet
from lit_coiba.data.released.oxford_pets import OxfordPets
from lit_coiba.data.released.stanford_cars import StanfordCars
from lit_coiba.data.released.stanford_dogs import StanfordDogs
from lit_coiba.data.subset import Subset, limited
from lit_coiba.data.synthetic_parts import SyntheticParts
from lit_coiba.data.transforms import Transform

__all__ = [
    "CUB200",
    "BlockDataModule",
    "BlockDataset",
    "BlockSampler",
    "ImageDataset",
    "ImageFolder",
    "ImageNet",
    "Keypoints",
    "OxfordPets",
    "StanfordCars",
    "StanfordDogs",
    "Subset",
    "SyntheticParts",
    "Transform",
    "count_blocks",
    "limited",
]
