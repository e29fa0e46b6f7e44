"""What is released: wheel, light installation, licences, versions."""
