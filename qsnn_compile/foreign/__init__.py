"""Front ends for the files of other libraries, by way of a normal form in real numbers."""
