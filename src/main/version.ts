/** Version of this program; package.json has the same, and a test compares them. */
export const version = '0.3.0';
