"""Protocol rules without I/O: octets in, values out, and back."""
