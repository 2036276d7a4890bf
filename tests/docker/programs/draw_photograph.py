"""Write a red JPEG and read it; print how it begins, and whether it is red."""

import io

from PIL import Image

file = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(file, "JPEG")
red, green, *_ = Image.open(file).tobytes()
print(file.getvalue()[:2].hex(), red > 250, green < 5)
