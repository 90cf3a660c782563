from types import SimpleNamespace

dataloader = SimpleNamespace(
    test=SimpleNamespace(
        mapper=SimpleNamespace(
            augmentations=[SimpleNamespace(short_edge_length=60, max_size=100)],
            image_format="RGB",
        ),
        dataset=SimpleNamespace(names="coco_2017_val"),
    )
)
model = "Network"
