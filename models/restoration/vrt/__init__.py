"""VRT, the video restoration transformer (Liang et al., arXiv 2201.12288), in its form for deblurring."""
