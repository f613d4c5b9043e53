"""Weight files: of this project, published ones, pretrained backbones."""
