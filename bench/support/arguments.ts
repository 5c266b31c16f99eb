/** The positive number at this position of the command line, counted from 0; `otherwise` if it is not given. */
export function numberArgument(position: number, otherwise: number): number {
  const text = process.argv[2 + position];
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!(value > 0)) {
    throw new Error(`argument ${position + 1} is "${text}"; give a positive number`);
  }
  return value;
}
