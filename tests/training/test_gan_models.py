import pytest
import torch

from twofour.common.errors import UserError
from twofour.training.config import LayersConfig
from twofour.training.eligibility import list_layers
from twofour.training.gan_models import tiny_discriminator, tiny_generator, tiny_translator


@pytest.mark.parametrize("size", [8, 16, 32])
def test_they_make_pictures_that_the_discriminator_takes(size):
    pictures = tiny_generator(32, size, 2)(torch.randn(3, 32))
    assert pictures.shape == (3, 2, size, size)
    assert float(pictures.detach().abs().max()) <= 1
    translated = tiny_translator(2)(pictures)
    assert translated.shape == pictures.shape
    assert float(translated.detach().abs().max()) <= 1
    assert tiny_discriminator(2, size)(pictures).shape == (3, 1)
    both = torch.cat((pictures, translated), 1)
    assert tiny_discriminator(2, size, conditional=True)(both).shape == (3, 1)


@pytest.mark.parametrize("made", [tiny_generator, tiny_translator])
def test_all_but_the_ends_can_be_two_four(made):
    verdicts = {layer.name: layer.sparse for layer in list_layers(made(), LayersConfig())}
    dense = [name for name, sparse in verdicts.items() if not sparse]
    assert dense == (["out"] if made is tiny_generator else ["stem.conv", "out"])


@pytest.mark.parametrize(("made", "args"), [
    (tiny_generator, {"size": 20}), (tiny_generator, {"noise": 0}), (tiny_translator, {"width": 0}),
    (tiny_discriminator, {"size": 12}),
])
def test_impossible_numbers_are_refused(made, args):
    with pytest.raises(UserError):
        made(**args)
