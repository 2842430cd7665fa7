"""Any picture -> pixels; ink -> the 28x28 of MNIST. Needs NumPy and Pillow.

The steps in order: `decode` opens a picture of any kind, `binarization` tells ink from paper, `rule_lines` and
`page_detection` take ruled paper, frames and desks away, `connected_components` and `segmentation` find what may be one
digit, `normalization` brings it to the form of MNIST. Begin reading in `normalization`.
"""
