"""What a run did, as a page and a picture in its folder."""
