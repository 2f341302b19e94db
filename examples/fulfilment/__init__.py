"""An order, its payment and its shipment: three workflows that tell each other, and a deadline that somebody keeps."""
