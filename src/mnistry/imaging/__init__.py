"""Any picture -> pixels; ink -> the 28x28 of MNIST. Needs NumPy and Pillow.

`decode` opens a picture of any kind, `normalization` brings the ink of one digit to the form of MNIST. Begin reading in
`normalization`.
"""
