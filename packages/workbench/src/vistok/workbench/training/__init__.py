"""What any training needs around its own maths: the loop, seeds, rates, precision, state that resumes exactly."""
