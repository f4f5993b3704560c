/** Six digits: more say nothing, and rounding hides nothing that is compared. What is not a number is null. */
export function reportJson(report: object): string {
  const rounded = (_: string, value: unknown): unknown =>
    typeof value === 'number' ? Number(value.toPrecision(6)) : value
  return `${JSON.stringify(report, rounded, 1)}\n`
}
