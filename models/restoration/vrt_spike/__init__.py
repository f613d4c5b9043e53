"""VRT with a branch for spikes, for deblurring."""

from models.registry import ModelSpec
from models.restoration.vrt_spike.build import build, describe, in_words, own_names
from models.restoration.vrt_spike.restorer import VrtSpike

SPEC = ModelSpec(
    family=VrtSpike.family,
    task="restoration",
    payload="clips",
    build=build,
    describe_weights=describe,
    weights_in_words=in_words,
    own_names=own_names,
    saves_memory={"vrt.checkpoint_blocks": True},
)
