"""Generators: trained beside a discriminator, and compressed under the one that was trained with them."""
