"""The digits transformer: a photo or scan of one handwritten digit in, the digit out.

The model saw ink as light on dark, in 8 x 8 pixels; a larger image is averaged down to that.
"""

from PIL import Image

from calumma.serving import images, server, transformer

APPLICATION = transformer.Application(
    classes=[str(digit) for digit in range(10)],
    image=images.Format("L", width=8, height=8, resampling=Image.Resampling.BOX),
    input="image",
    output="logits",
    max_instances=64,
)

if __name__ == "__main__":
    server.serve(APPLICATION)
