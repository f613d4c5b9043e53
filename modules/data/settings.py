"""Settings of the data module from the composed config."""

from __future__ import annotations

from typing import Any

from data.augmentation.config import AugmentationConfig
from data.batches.config import DataModuleConfig
from data.payloads.events import EventsPayload
from data.payloads.pillars import PillarSettings
from models.registry import spec_of_section


def data_module_config(config: dict[str, Any]) -> DataModuleConfig:
    """Settings of the data module.

    Args:
        config: the composed configuration as plain containers.

    Raises:
        UserError: a value out of its range.
    """
    dataset, train = config["dataset"], config["dataset"]["train"]
    return DataModuleConfig(
        path=str(dataset["path"]),
        ev_repr_name=dataset["representation"]["name"],
        sensor_hw=tuple(dataset["sensor_hw"]),
        num_classes=len(dataset["classes"]),
        sequence_length=dataset["sequence_length"],
        downsample_by_factor_2=bool(dataset["downsample_by_factor_2"]),
        train_sampling=str(train["sampling"]).lower(),  # type: ignore[arg-type] # checked by the dataclass
        w_random=train["w_random"],
        w_stream=train["w_stream"],
        weighted_sampling=bool(train["weighted_sampling"]),
        num_stream_groups=train["num_stream_groups"],
        batch_size_train=config["batch_size"]["train"],
        batch_size_eval=config["batch_size"]["eval"],
        num_workers_train=config["hardware"]["num_workers"]["train"],
        num_workers_eval=config["hardware"]["num_workers"]["eval"],
        prefetch_factor=config["hardware"]["prefetch_factor"],
        loader_timeout_s=config["hardware"]["loader_timeout_s"],
        ratio=dataset["ratio"],
        ratio_offset=dataset["ratio_offset"],
        train_ratio=dataset["train_ratio"],
        split_file=dataset["split_file"],
        use_label_every=config["model"]["label"]["use_label_every"],
        tflip_offset=dataset["tflip_offset"],
        only_load_end_labels=bool(train["only_load_end_labels"]),
        eval_ratio=dataset["evaluation"]["ratio"],
        eval_from_zero=bool(dataset["evaluation"]["from_zero"]),
        num_stream_groups_eval=dataset["evaluation"]["num_stream_groups"],
        eval_reverse=bool(config.get("reverse", False)),
        eval_both_directions=bool(config["tta"]["enable"] and config["tta"]["tflip"]),
        augmentation_random=AugmentationConfig.from_settings(dataset["augmentation"]["random"]),
        augmentation_stream=AugmentationConfig.from_settings(dataset["augmentation"]["stream"]),
        seed=config["reproduce"]["seed_everything"] or 0,
        on_bad_sequence=config["training"]["on_bad_sequence"],
        unlabelled_share=config.get("semi", {}).get("unlabelled_share", 0.0),
        payload=_payload(config),
    )


def _payload(config: dict[str, Any]) -> EventsPayload | None:
    """What the model reads, None for frames."""
    model, tta = config["model"], config["tta"]
    if spec_of_section(model).payload != "events":
        return None
    half, keep = bool(config["dataset"]["downsample_by_factor_2"]), bool(tta["enable"] and tta["hflip"])
    return EventsPayload(PillarSettings.of(model), half, keep)
