"""The verb `dictionary` of the Trainer: a fit whose result is a file of concepts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lit_coiba.concepts.concept_dictionary import ConceptDictionary
from lit_coiba.concepts.dictionary_file import is_dictionary
from lit_coiba.core.errors import InputError
from lit_coiba.data.module import BlockDataModule
from lit_coiba.files.atomic import remove_leftovers
from lit_coiba.files.given_path import given_path
from lit_coiba.files.owned import check_apart, check_own_file
from lit_coiba.trainer.places import check_place, image_folders
from lit_coiba.training.concept_autoencoder import ConceptAutoencoder


class DictionaryVerb:
    """The verb `dictionary` of the Trainer."""

    def dictionary(
        self: Any,
        model: ConceptAutoencoder,
        datamodule: BlockDataModule,
        output: str,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> ConceptDictionary:
        """Train concepts of all classes at one layer, by a sparse autoencoder: `fit`, and the file that it is used by.

        Args:
            model: The model, its layer and the autoencoder.
            datamodule: The images, of all classes; labels are not needed.
            output: File for the concepts (safetensors); `ConceptDictionary.load` reads it.
            ckpt_path: Checkpoint to continue from.
            weights_only: See Lightning.

        Returns:
            The concepts.

        Raises:
            InputError: The file cannot be written or has something else in it, or the activations do not vary.
        """
        file = check_dictionary_place(output, datamodule)
        self.fit(model, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=weights_only)
        found = model.concepts()
        if self.is_global_zero:
            found.save(file)
        return found


def check_dictionary_place(output: str | os.PathLike[str], data: BlockDataModule) -> Path:
    """The file to write; what cannot be written to is refused.

    Raises:
        InputError: It is a folder, is read-only, lies among the images, or has something else in it.
    """
    path = given_path(output, "output")
    check_place(path.parent, "output")
    if path.is_dir():
        raise InputError(f"output {path} is a folder: give the name of a file")
    check_apart(path, "output", image_folders(data))
    check_own_file(path, "output", is_dictionary)
    if path.parent.is_dir():
        remove_leftovers(path.parent, path.name)
    return path
