"""Files that earlier versions of perdure wrote; the present one must open them and go on with what is in them."""
