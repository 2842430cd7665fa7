"""Pictures in scikit-learn's own pipelines."""

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from conftest import ROOT
from mnistry.imaging.decode import PictureError
from mnistry.pipeline import MnistForm
from mnistry.reading.reader import Reader

EXAMPLES = sorted((ROOT / "examples" / "pictures").iterdir())


def test_pictures_become_what_the_reader_sees():
    images = MnistForm().fit_transform(EXAMPLES)
    assert images.shape == (10, 28, 28)
    assert images.dtype == np.uint8
    assert (images[7] == Reader().read(EXAMPLES[7]).digits[0].image).all()
    assert MnistForm().transform([]).shape == (0, 28, 28)


def test_it_works_in_a_pipeline():
    pipeline = make_pipeline(clone(MnistForm(flat=True)), LogisticRegression(C=0.01))
    labels = [path.name[0] for path in EXAMPLES]
    assert list(pipeline.fit(EXAMPLES, labels).predict(EXAMPLES)) == labels


def test_a_blank_picture_stays_empty_and_no_picture_is_told():
    assert not MnistForm().transform([Image.new("L", (50, 50), 255)]).any()
    with pytest.raises(PictureError):
        MnistForm().transform(["no such file"])
