"""The Food-11 transformer: a photo of a meal in, its kind out."""

from calumma.serving import images, server, transformer

APPLICATION = transformer.Application(
    classes=[
        "Bread",
        "Dairy product",
        "Dessert",
        "Egg",
        "Fried food",
        "Meat",
        "Noodles/Pasta",
        "Rice",
        "Seafood",
        "Soup",
        "Vegetable/Fruit",
    ],
    image=images.Format("RGB", width=224, height=224, exact=True),
    input="input",
    output="output",
    max_instances=16,
)

if __name__ == "__main__":
    server.serve(APPLICATION)
