"""What watches over a training: losses, speed, health, pictures, progress."""
