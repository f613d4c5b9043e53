"""Boxes as other tools write them: tables, COCO, YOLO, Pascal VOC, MOT and KITTI become rows of our own."""
